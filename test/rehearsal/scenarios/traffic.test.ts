/** Reads what the load generator says when it is stopped. */
import { readSummary } from '../../../rehearsal/scenarios/traffic';

const summary = (rest: string) => `
Summary:
  Total:\t45.7201 secs
  Slowest:\t0.0119 secs

Response time histogram:
  0.001 [11400]\t|■■■■
  0.002 [30]\t|

${rest}`;

test('all were answered', () => {
  expect(readSummary(summary('Status code distribution:\n  [200]\t11430 responses\n\n\n'))).toEqual({
    sent: 11_430,
    answered: 11_430,
    failed: 0,
    seconds: 45.7201,
  });
});

test('an answer that is none, and every kind of error, counts as failed', () => {
  const said = summary(`Status code distribution:
  [200]\t11000 responses
  [404]\t20 responses

Error distribution:
  [300]\tGet "http://127.0.1.1:8080/": dial tcp 127.0.1.1:8080: connect: connection refused
  [7]\tGet "http://127.0.1.1:8080/": EOF
`);
  expect(readSummary(said)).toEqual({ sent: 11_327, answered: 11_000, failed: 327, seconds: 45.7201 });
});

test('one that says nothing is no success', () => {
  expect(() => readSummary('')).toThrow('printed no summary');
});
