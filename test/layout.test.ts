/** The layout: every file lies in a room, and tests lie where their sources do. Who imports whom is held by lint. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(__dirname, '..');
const entries = (folder: string) => readdirSync(join(root, folder), { withFileTypes: true });
const folders = (folder: string) => entries(folder).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
const sources = (folder: string) =>
  entries(folder).flatMap(({ name }) => (/(?<!\.test)\.ts$/.test(name) ? [name] : []));

/** Folders that hold rooms, and the files beside the rooms: what starts there, and nothing else. */
const HALLS: Record<string, string[]> = {
  lib: ['index.ts'],
  lambda: [],
  rehearsal: [],
  'rehearsal/aws': ['region.ts', 'services.ts'],
};

test.each(Object.entries(HALLS))('%s has rooms, and no loose files but %j', (hall, entryPoints) => {
  expect(sources(hall)).toEqual(entryPoints);
});

test('the architecture names every room of the constructs and functions', () => {
  const architecture = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
  const rooms = [...folders('lib').map((name) => `lib/${name}/`), 'lambda/membership/', 'lambda/shared/'];
  expect(rooms.filter((room) => !architecture.includes(`\`${room}\``))).toEqual([]);
});

/** Tests that are about no folder of sources. */
const ACROSS = ['docs', 'examples', 'github', 'long', 'mutation', 'real-nodes'];

function testFolders(folder: string): string[] {
  const below = folders(folder).filter((name) => name !== '__snapshots__');
  return below.flatMap((name) => [`${folder}/${name}`, ...testFolders(`${folder}/${name}`)]);
}

test('tests mirror the folders of what they test', () => {
  const mirrored = testFolders('test').map((folder) => folder.slice('test/'.length));
  const sourceFolders = new Set(
    ['agent', 'bin', 'lambda', 'lib', 'protocol', 'rehearsal'].flatMap((name) => [name, ...testFolders(name)]),
  );
  const strangers = mirrored.filter((folder) => !ACROSS.includes(folder.split('/')[0]!) && !sourceFolders.has(folder));
  expect(strangers).toEqual([]);
});
