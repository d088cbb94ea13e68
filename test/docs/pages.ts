/** The Markdown pages of this repository, and what is read from them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

export const root = join(__dirname, '../..');

/** Paths from the root, but of what others or a build put there. */
export const pages: string[] = markdownIn('');

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory())
      return /^(node_modules|dist|cdk\.out|coverage|\.git)$/.test(entry.name) ? [] : markdownIn(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

export const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** The fenced blocks of a language. */
export const blocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^ *\`\`\`${language}\n(.*?)^ *\`\`\``, 'gms'))].map((match) => match[1]!);

export const withoutBlocks = (text: string): string => text.replace(/^ *```.*?^ *```$/gms, '');

/** What stands between backticks in a line. */
export const codeSpans = (text: string): string[] =>
  [...withoutBlocks(text).matchAll(/`([^`]+)`/g)].map((match) => match[1]!.replace(/\s+/g, ' '));

export const words = (text: string): number => withoutBlocks(text).split(/\s+/).filter(Boolean).length;

/**
 * The anchors that GitHub gives the headings of a page: lower case, spaces as hyphens, no punctuation, and a number
 * from the second heading of the same text on. Source:
 * https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#section-links
 */
export function anchors(text: string): string[] {
  const times = new Map<string, number>();
  return [...withoutBlocks(text).matchAll(/^#{1,6} +(.+?) *#*$/gm)].map(([, heading]) => {
    const plain = heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = plain.replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '').replaceAll(' ', '-');
    const before = times.get(slug) ?? 0;
    times.set(slug, before + 1);
    return before === 0 ? slug : `${slug}-${before}`;
  });
}

/** Links to other pages and to headings, with what is wrong with them. */
export function brokenLinks(page: string): string[] {
  const text = withoutBlocks(read(page)).replace(/`[^`]*`/g, '');
  const inline = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)/g)];
  const references = [...text.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm)];
  return [...inline, ...references].flatMap(([, target]) => {
    if (/^[a-z][a-z+.-]*:/i.test(target!)) return [];
    const [path, anchor] = target!.split('#') as [string, string?];
    const file = path === '' ? page : normalize(join(dirname(page), decodeURI(path)));
    if (file.startsWith('..') || !existsSync(join(root, file))) return [`${page}: ${target} does not exist`];
    return anchor === undefined || (file.endsWith('.md') && anchors(read(file)).includes(anchor))
      ? []
      : [`${page}: ${target} names no heading of ${file}`];
  });
}
