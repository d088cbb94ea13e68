/** `npm run bench [-- NAME ...]`: every figure as a ratio of two things measured in one run. Names: formation, imports. Default: all. */
import { benchFormation } from './formation';
import { benchImports } from './imports';

const benches: Record<string, () => Promise<void>> = { imports: benchImports, formation: benchFormation };

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
