/**
 * Reading and writing safetensors files (https://github.com/huggingface/safetensors): an 8-byte little-endian header
 * length, a JSON header `{ key: { dtype, shape, data_offsets: [begin, end] }, __metadata__?: { string: string } }`,
 * then the tensors' bytes without gaps. Reading a file means reading its header; the tensors stay where they are until
 * asked for, so size does not matter.
 */
export { readTensorBytes, readTensorFloat32, readTensorInt32 } from './safetensorsData.js';
export {
  DTYPE_BYTES,
  readSafetensorsHeader,
  type SafetensorsDtype,
  type SafetensorsFile,
  type TensorRef,
} from './safetensorsHeader.js';
export { type TensorToWrite, writeSafetensors } from './safetensorsWriter.js';
