import {
  AbortError,
  DeviceError,
  DisposedError,
  FileFormatError,
  NonFiniteError,
  OutOfMemoryError,
  TloraError,
} from '../errors.js';

type Make = (message: string, cause: unknown) => Error;

const BY_CODE: Readonly<Record<string, Make>> = {
  ABORT_ERR: (_message, cause) => new AbortError(cause),
  ERR_TLORA_DEVICE: (message, cause) => new DeviceError(message, { cause }),
  ERR_TLORA_DISPOSED: (message, cause) => new DisposedError(message, { cause }),
  ERR_TLORA_FILE_FORMAT: (message, cause) => new FileFormatError(message, { cause }),
  ERR_TLORA_NON_FINITE: (message, cause) => new NonFiniteError(message, { cause }),
  ERR_TLORA_OUT_OF_MEMORY: (message, cause) =>
    new OutOfMemoryError(message, {
      cause,
      hint: 'Give --memory to recompute instead of keeping, lower --resolution, --batch or --rank, or free memory.',
    }),
};

/** The tlora error for one that native code threw; errors without a code of ours are returned as they are. */
export function fromNative(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  const make = BY_CODE[error.code];
  if (make) return make(error.message, error);
  return error.code.startsWith('ERR_TLORA_') ? new TloraError(error.code, error.message, { cause: error }) : error;
}

/** Calls `body`, with native errors translated. */
export function translated<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw fromNative(error);
  }
}
