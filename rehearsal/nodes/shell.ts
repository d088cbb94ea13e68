/** Runs the system's own programs (`ip`, `losetup`, ...) for the real nodes. Never through a shell's word splitting. */
import { execFile } from 'node:child_process';

/**
 * Runs a program to its end.
 * @returns its standard output
 *
 * @param input text for its standard input
 * @throws Error with the whole command and its standard error when it fails
 */
export function run(program: string, args: string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`\`${[program, ...args].join(' ')}\` failed: ${stderr.trim() || error.message}`));
      else resolve(stdout);
    });
    // A program may end without reading its input.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
