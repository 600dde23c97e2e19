/** What every error of tlora carries: a stable `code`, and a `hint` that says what to do. */
export interface TloraErrorOptions {
  /** What the user can do about it. */
  hint?: string;
  cause?: unknown;
}

/** Base of all errors thrown by tlora. `code` is stable across versions and starts with `ERR_TLORA_`. */
export class TloraError extends Error {
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: TloraErrorOptions = {}) {
    super(
      options.hint === undefined ? message : `${message}\n${options.hint}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
  }
}

/** An option or a config field has a value that cannot be used. */
export class ConfigError extends TloraError {
  constructor(message: string, options?: TloraErrorOptions) {
    super('ERR_TLORA_CONFIG', message, options);
  }
}

/** A model folder, checkpoint, adapter or picture that cannot be read as what it claims to be. */
export class FileFormatError extends TloraError {
  constructor(message: string, options?: TloraErrorOptions) {
    super('ERR_TLORA_FILE_FORMAT', message, options);
  }
}

/** The system refused to write a file: full disk, no permission, no such folder. */
export class FileWriteError extends TloraError {
  constructor(message: string, options?: TloraErrorOptions) {
    super('ERR_TLORA_FILE_WRITE', message, options);
  }
}

/** An op was given shapes or dtypes that it cannot take. Thrown while tracing, never while running. */
export class ShapeError extends TloraError {
  constructor(message: string, options?: TloraErrorOptions) {
    super('ERR_TLORA_SHAPE', message, options);
  }
}

/** The native addon is absent, too old, or cannot be opened. */
export class NativeAddonError extends TloraError {
  constructor(message: string, options?: TloraErrorOptions) {
    super('ERR_TLORA_NATIVE_ADDON', message, options);
  }
}

/** The requested device cannot be used. */
export class DeviceError extends TloraError {
  constructor(message: string, options?: TloraErrorOptions) {
    super('ERR_TLORA_DEVICE', message, options);
  }
}

/** More memory is needed than is free or allowed. */
export class OutOfMemoryError extends TloraError {
  constructor(message: string, options?: TloraErrorOptions) {
    super('ERR_TLORA_OUT_OF_MEMORY', message, options);
  }
}

/** The loss or a gradient became infinite or not a number. */
export class NonFiniteError extends TloraError {
  constructor(message: string, options?: TloraErrorOptions) {
    super('ERR_TLORA_NON_FINITE', message, options);
  }
}

/** An object was used after `dispose()`. */
export class DisposedError extends TloraError {
  constructor(message: string, options?: TloraErrorOptions) {
    super('ERR_TLORA_DISPOSED', message, options);
  }
}

/** Stopped by a signal or `abort()`: `name` 'AbortError', `code` 'ABORT_ERR', `cause` the reason, as in Node's own API. */
export class AbortError extends Error {
  readonly code = 'ABORT_ERR';

  constructor(reason?: unknown) {
    super('The operation was aborted', { cause: reason });
    this.name = 'AbortError';
  }
}
