/**
 * Checks the node's swarm certificate. Docker renews it when half of its lifetime or more is over
 * (https://github.com/moby/swarmkit/blob/master/ca/renewer.go). A node whose certificate has expired can never come
 * back by itself, so an overdue renewal raises an alarm in time.
 */
import { X509Certificate } from 'node:crypto';
import { parseTime } from '../protocol/clock';

/** Milliseconds since 1970. */
export interface Validity {
  from: number;
  until: number;
}

/** Docker starts to renew between 50 and 80 % of the lifetime. Past this share, something prevents it. */
const OVERDUE_SHARE = 0.85;

/** @throws Error when the text is not a certificate in PEM form */
export function validityOf(pem: string): Validity {
  const { validFrom, validTo } = new X509Certificate(pem);
  return { from: parseTime(validFrom), until: parseTime(validTo) };
}

export function isOverdue({ from, until }: Validity, now: number): boolean {
  return now >= from + (until - from) * OVERDUE_SHARE;
}
