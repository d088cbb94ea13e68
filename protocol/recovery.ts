/** What a person asks of node-leave, by hand, when the quorum is lost for good, and what the answer says. */
import * as v from 'valibot';
import { swarmIdSchema, nonNegativeInteger } from './body';

export const recoveryRequestSchema = v.strictObject({
  recover: v.strictObject({
    /** The seat whose manager goes on alone. */
    seat: v.pipe(nonNegativeInteger, v.maxValue(6)),
    /** Confirms it. Without it nothing is done, and the answer says what would be. */
    swarmId: v.optional(swarmIdSchema),
  }),
});
export type RecoveryRequest = v.InferOutput<typeof recoveryRequestSchema>['recover'];

export type RecoveryAnswer =
  { refused: string[] } | { wouldDo: string[]; toConfirm: { recover: RecoveryRequest } } | { begun: string[] };
