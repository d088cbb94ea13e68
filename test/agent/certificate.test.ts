import { isOverdue, validityOf } from '../../agent/certificate';
import { parseTime } from '../../protocol/clock';

/** Of the first quarter of 2026. */
const PEM = `\
-----BEGIN CERTIFICATE-----
MIIBojCCAUgCAQEwCgYIKoZIzj0EAwIwXTEhMB8GA1UECgwYc3dhcm0wMDAwMDAw
MDAwMDAwMDAwMDAwMRUwEwYDVQQLDAxzd2FybS13b3JrZXIxITAfBgNVBAMMGG5v
ZGUwMDAwMDAwMDAwMDAwMDAwMDAwMDAeFw0yNjAxMDEwMDAwMDBaFw0yNjA0MDEw
MDAwMDBaMF0xITAfBgNVBAoMGHN3YXJtMDAwMDAwMDAwMDAwMDAwMDAwMDEVMBMG
A1UECwwMc3dhcm0td29ya2VyMSEwHwYDVQQDDBhub2RlMDAwMDAwMDAwMDAwMDAw
MDAwMDAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATWZO6Uow3oigpu33fsBqum
dnXywJEXpmlz8U2ydv5RkABnv82iwN6kRMV5Oay1n/umsEqcOFEeD6PBxUrnt/L2
MAoGCCqGSM49BAMCA0gAMEUCIQCFc5q3ObtqF+KCN+Zwx3n6I8NEPLb38w8LpbIE
ygLUeQIgBrt43oONEzmRVU4xB4LssXSmBwSY/4huGF6zGDmzTHI=
-----END CERTIFICATE-----
`;

test('a certificate that Docker has not renewed when most of its time is over is overdue', () => {
  const validity = validityOf(PEM.trim());
  expect(validity).toEqual({ from: parseTime('2026-01-01T00:00:00Z'), until: parseTime('2026-04-01T00:00:00Z') });
  expect(isOverdue(validity, parseTime('2026-03-14T00:00:00Z'))).toBe(false);
  expect(isOverdue(validity, parseTime('2026-03-19T00:00:00Z'))).toBe(true);
  expect(isOverdue(validity, parseTime('2026-05-01T00:00:00Z'))).toBe(true);
});

test('what is no certificate is an error, not a date', () => {
  expect(() => validityOf('nothing')).toThrow();
});
