export {
  activeRank,
  drawRankSchedule,
  type RankSchedule,
  samplerRanks,
  validateRankSchedule,
} from './adapters/rankSchedule.js';
export { type DoctorReport, doctor, type Finding } from './cli/doctor.js';
export { type ConvertResult, convertAdapter } from './convert/convertAdapter.js';
export type { AdapterFormat, ConvertOptions } from './convert/options.js';
export {
  AbortError,
  ConfigError,
  DeviceError,
  DisposedError,
  FileFormatError,
  FileWriteError,
  NativeAddonError,
  NonFiniteError,
  OutOfMemoryError,
  ShapeError,
  TloraError,
  type TloraErrorOptions,
} from './errors.js';
export { type GenerateResult, generate } from './generate/generate.js';
export type { GenerateEvent, GenerateOptions } from './generate/options.js';
export type { MemoryForecast } from './plan/memoryBudget.js';
export { type ReportOptions, report } from './report/report.js';
export type { DeviceInfo, MemoryInfo, StepEvent, TrainEvent, WatchEvent } from './train/events.js';
export { type PlanReport, planTraining } from './train/forecast.js';
export type { PictureSource, TrainOptions } from './train/options.js';
export type { PlanTrainingOptions } from './train/planOptions.js';
export { type TrainResult, train, type WatchSummary } from './train/train.js';
export type { RunState, TrainingRun } from './train/trainingRun.js';
export type { WatchFigures, WatchRecord } from './train/watchFigures.js';
