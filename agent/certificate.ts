/**
 * The node's certificate in its swarm. Docker renews it by itself when half of its time or more is over
 * (https://github.com/moby/swarmkit/blob/master/ca/renewer.go); a node whose certificate has run out can never come
 * back by itself, so somebody is told in time.
 */
import { X509Certificate } from 'node:crypto';
import { parseTime } from '../protocol/clock';

/** Milliseconds since 1970. */
export interface Validity {
  from: number;
  until: number;
}

/**
 * Docker begins to renew between the half and 80 % of a certificate's time: past this share something keeps it from
 * that.
 */
const OVERDUE_SHARE = 0.85;

/** @throws Error when the text is no certificate in PEM form */
export function validityOf(pem: string): Validity {
  const { validFrom, validTo } = new X509Certificate(pem);
  return { from: parseTime(validFrom), until: parseTime(validTo) };
}

export function isOverdue({ from, until }: Validity, now: number): boolean {
  return now >= from + (until - from) * OVERDUE_SHARE;
}
