/**
 * `npm run bench [-- NAME ...]`. Names: planning, imports, fleet, targets, agent, formation; all by default. Every time
 * is also given as a ratio to something that was measured in the same run.
 */
import { benchAgent } from './agent';
import { benchFleet } from './fleet';
import { benchFormation } from './formation';
import { benchImports } from './imports';
import { benchPlanning } from './planning';
import { benchTargets } from './targets';

const benches: Record<string, () => Promise<void>> = {
  planning: benchPlanning,
  imports: benchImports,
  fleet: benchFleet,
  targets: benchTargets,
  agent: benchAgent,
  formation: benchFormation,
};

async function main(): Promise<void> {
  const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(benches);
  for (const name of names) {
    const bench = benches[name];
    if (!bench)
      throw new Error(`There is no benchmark "${name}". The benchmarks are ${Object.keys(benches).join(', ')}.`);
    console.log(`== ${name}`);
    await bench();
  }
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
