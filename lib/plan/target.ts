/** A CUDA device as plans see it. */
export interface CudaTarget {
  readonly device: 'cuda';
  /** Of the host, which packs weights. */
  readonly threads: number;
  /** What the device and its libraries keep for work within a kernel. */
  readonly workspaceBytes: number;
  /** More of it, for what the gradient of attention keeps; none where it is not said. */
  readonly attentionBytes?: number;
}

/** What a plan is made for: the CPU with so many threads, or a CUDA device. */
export type Target = number | CudaTarget;

/** native/cuda/context.h: the workspace of every device, for plans that are made without one. */
export const CUDA_WORKSPACE_BYTES: number = 64 * 2 ** 20;

/** native/core/weight_store.cpp: on a CUDA device weights lie one behind the other, each at a multiple of so many bytes. */
export const CUDA_WEIGHT_ALIGNMENT = 256;

/** The name of the backend that runs plans for a target. */
export function targetDevice(target: Target): 'cpu' | 'cuda' {
  return typeof target === 'number' ? 'cpu' : target.device;
}

export function targetThreads(target: Target): number {
  return typeof target === 'number' ? target : target.threads;
}
