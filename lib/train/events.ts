import type { DeviceInfo } from '../pipeline/device.js';
import type { Precision } from '../pipeline/precision.js';
import type { WatchRecord } from './watchFigures.js';

export type { DeviceInfo };

/** What a run needs and has, in bytes. */
export interface MemoryInfo {
  readonly used: number;
  readonly peak: number;
}

/** What a training run tells while it goes on. */
export type TrainEvent =
  | {
      readonly type: 'phase';
      readonly phase: 'load' | 'encode' | 'start' | 'train' | 'sample' | 'watch' | 'save';
      readonly done?: number;
      readonly total?: number;
    }
  | {
      readonly type: 'device';
      readonly device: DeviceInfo;
      readonly reason: string;
      readonly precision: Precision;
    }
  | {
      readonly type: 'forecast';
      /** Bytes of memory the run will need. */
      readonly memory: number;
      /** Seconds the whole run will take; known after the third step. */
      readonly seconds?: number;
    }
  | StepEvent
  | { readonly type: 'sample'; readonly step: number; readonly prompt: string; readonly path: string }
  | { readonly type: 'checkpoint'; readonly step: number; readonly path: string }
  | WatchEvent
  | { readonly type: 'warning'; readonly code: string; readonly message: string };

/** What was watched after a step. */
export interface WatchEvent extends WatchRecord {
  readonly type: 'watch';
  /** First watched step at which the run copies its picture; null: not yet. */
  readonly copyingFrom: number | null;
  /** Where the adapter was kept, if it is the best so far. */
  readonly bestPath: string | null;
}

/** One finished optimizer step. */
export interface StepEvent {
  readonly type: 'step';
  /** 1 for the first step. */
  readonly step: number;
  readonly steps: number;
  /** Mean squared error of the step's samples. */
  readonly loss: number;
  /** Timesteps of the step's samples. */
  readonly timesteps: readonly number[];
  /** Active rank of each sample. */
  readonly activeRanks: readonly number[];
  readonly learningRate: number;
  readonly stepMs: number;
  readonly etaMs: number;
  readonly memory: MemoryInfo;
}
