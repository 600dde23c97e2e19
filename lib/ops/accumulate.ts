import { addNode, type Op, type Value } from '../graph/graph.js';
import { expectDType, expectShape } from '../graph/shapes.js';

/** sum ← c[0] · sum + c[1] · grads, in place on sum, c = coefficients [2] f32. When c[0] is 0 the old sum is not read at all. */
export const accumulateOp: Op = { name: 'accumulate', attrs: [], alias: { 0: 0 }, effect: true };

/** The value of `sum` afterwards: the same memory. */
export function accumulate(sum: Value, grads: Value, coefficients: Value): Value {
  expectDType('accumulate', 'sum', sum, 'f32');
  expectShape('accumulate', 'grads', grads, sum.shape);
  expectShape('accumulate', 'coefficients', coefficients, [2]);
  const outputs = [{ name: 'sum', shape: sum.shape, dtype: 'f32' as const }];
  return addNode(sum.graph, accumulateOp, [sum, grads, coefficients], outputs).outputs[0]!;
}
