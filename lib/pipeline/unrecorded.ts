import type { Engine } from '../addon/surface.js';

/** An engine that tells when a program's work could not be recorded and goes on call by call. */
export function tellUnrecorded(engine: Engine, tell: (code: 'NOT_RECORDED', message: string) => void): Engine {
  return {
    ...engine,
    load: (plan) => {
      const program = engine.load(plan);
      return {
        ...program,
        run: async (options) => {
          const report = await program.run(options);
          if (report.unrecorded === undefined) return report;
          const why = `its work cannot be recorded: ${report.unrecorded}`;
          tell('NOT_RECORDED', `the device works call by call, which is slower: ${why}`);
          return report;
        },
      };
    },
  };
}
