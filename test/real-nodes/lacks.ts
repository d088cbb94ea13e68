/** Prints what this machine lacks for real nodes, a line each; nothing when they can be made. */
import { missing, searchPath, thisMachine } from '../../rehearsal/nodes/preflight';

process.env.PATH = searchPath(process.env);
missing(thisMachine()).then(
  (lacks) => process.stdout.write(lacks.map((lack) => `  - ${lack}\n`).join('')),
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  },
);
