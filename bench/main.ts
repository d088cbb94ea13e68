/**
 * `npm run bench [-- NAME ...]`: every figure of time as a ratio of two things measured in one run. Names: planning,
 * imports, fleet, targets, agent, formation. Default: all.
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
    if (!bench) throw new Error(`There is no benchmark "${name}", only: ${Object.keys(benches).join(', ')}`);
    console.log(`== ${name}`);
    await bench();
  }
}

main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
