/** What Stryker does not mutate or not test here. It loads this file in each of its processes. */
import { appendFileSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { declareClassPlugin, declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin';

/** Where the keys of the sampled mutants lie, one a line. */
export const SAMPLE_FILE = 'MUTATION_SAMPLE_FILE';
/** Where results are written as they come, one a line: the key of a mutant, and its status. */
export const RESULTS_FILE = 'MUTATION_RESULTS_FILE';

/** States of a mutant that no test noticed. */
export const UNNOTICED = ['Survived', 'NoCoverage'];

/**
 * Names a mutant, whatever its id is in this run.
 * @param first the number of the first line and column: reports count from 1, all else from 0
 */
export function keyOf({ fileName, location: { start, end }, mutatorName, replacement }, first) {
  const at = ({ line, column }) => `${line - first}:${column - first}`;
  return JSON.stringify([relative(process.cwd(), fileName), `${at(start)}-${at(end)}`, mutatorName, replacement]);
}

export const fileOf = (key) => JSON.parse(key)[0];

/** Passes the sampled mutants; Stryker runs no test for the others. */
class Sample {
  #sampled;

  async init() {
    this.#sampled = new Set(readFileSync(process.env[SAMPLE_FILE], 'utf8').split('\n'));
  }

  async check(mutants) {
    return Object.fromEntries(
      mutants.map((mutant) => [
        mutant.id,
        this.#sampled.has(keyOf(mutant, 0)) ? { status: 'passed' } : { status: 'compileError', reason: 'Not sampled.' },
      ]),
    );
  }

  async group(mutants) {
    return [mutants.map(({ id }) => id)];
  }
}

/** Writes results down and prints survivors as they come: a run takes long, and may be broken off. */
class Results {
  #sampled = new Set(readFileSync(process.env[SAMPLE_FILE], 'utf8').split('\n'));

  onMutantTested(mutant) {
    const key = keyOf(mutant, 1);
    if (!this.#sampled.has(key)) return;
    const { location, mutatorName, replacement, status } = mutant;
    appendFileSync(process.env[RESULTS_FILE], `${JSON.stringify([key, status])}\n`);
    if (!UNNOTICED.includes(status)) return;
    const text = replacement.replace(/\s+/g, ' ');
    console.log(
      `${status} ${fileOf(key)}:${location.start.line}:${location.start.column} ${mutatorName}: ` +
        (text.length > 100 ? `${text.slice(0, 100)}...` : text),
    );
  }
}

const isLog = (node) =>
  node.type === 'CallExpression' &&
  (node.callee.type === 'MemberExpression' ? node.callee.property : node.callee).name === 'log';

/** Metric filters count lines of the log that name a metric: these are behaviour. */
const namesMetric = (call) =>
  call.arguments.some(
    (one) => one.type === 'ObjectExpression' && one.properties.some(({ key }) => key?.name === 'metric'),
  );

/** Whether all that a statement does is to write lines of the log that nobody counts. */
function onlyLogs(node) {
  switch (node.type) {
    case 'ExpressionStatement':
      return isLog(node.expression) && !namesMetric(node.expression);
    case 'BlockStatement': {
      const statements = node.body.filter(({ type }) => type !== 'VariableDeclaration');
      return statements.length > 0 && statements.every(onlyLogs);
    }
    case 'IfStatement':
      return onlyLogs(node.consequent) && (!node.alternate || onlyLogs(node.alternate));
    case 'ForOfStatement':
      return onlyLogs(node.body);
    default:
      return false;
  }
}

/** The text of a literal, a template or a sum of them; of what is not known until it runs, a letter. */
function textOf(node) {
  switch (node.type) {
    case 'StringLiteral':
      return node.value;
    case 'TemplateLiteral':
      return node.quasis.map(({ value }) => value.cooked).join('X');
    case 'BinaryExpression':
      return node.operator === '+' ? textOf(node.left) + textOf(node.right) : 'X';
    default:
      return 'X';
  }
}

const isSentence = (text) => /^[A-Z'].*\s.*[.!?:]$/s.test(text.trim());

/**
 * Texts for people are not behaviour, and no test repeats them: lines of the log but for those that are counted, the
 * messages of errors, and sentences.
 */
export const texts = {
  shouldIgnore({ node, parent }) {
    if (onlyLogs(node)) return 'Lines of the log.';
    if (parent && isLog(parent) && parent.arguments[0] === node) return 'The level of a line of the log.';
    if (parent?.type === 'NewExpression' && /Error$/.test(parent.callee.name ?? '')) return 'The message of an error.';
    if (!/^(StringLiteral|TemplateLiteral|BinaryExpression)$/.test(node.type)) return undefined;
    return isSentence(textOf(node)) ? 'A sentence.' : undefined;
  },
};

export const strykerPlugins = [
  declareClassPlugin(PluginKind.Checker, 'sample', Sample),
  declareClassPlugin(PluginKind.Reporter, 'results', Results),
  declareValuePlugin(PluginKind.Ignore, 'texts', texts),
];
