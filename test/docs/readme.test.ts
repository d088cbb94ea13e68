/** What the README has to say first. What all pages have in common is tested in pages.test.ts. */
import { blocks, read } from './pages';

const readme = read('README.md');

describe('the README', () => {
  it('begins with what it is, then the two commands', () => {
    expect(readme.split('\n')[0]).toBe('# cdk-docker-swarm');
    expect(blocks(readme, 'sh')[0]).toBe('npm ci && npm start\nnpm ci && npm test\n');
  });

  it('says plainly what has never been run on real AWS', () => {
    expect(readme).toContain('never been run on real AWS');
  });
});
