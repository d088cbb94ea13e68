/** The request that a person sends to node-leave when the quorum is lost for good, and its answer. */
import * as v from 'valibot';
import { swarmIdSchema, nonNegativeInteger } from './body';

export const recoveryRequestSchema = v.strictObject({
  recover: v.strictObject({
    /** The seat whose manager survives. */
    seat: v.pipe(nonNegativeInteger, v.maxValue(6)),
    /** The confirmation. Without it nothing is changed, and the answer lists what would be done. */
    swarmId: v.optional(swarmIdSchema),
  }),
});
export type RecoveryRequest = v.InferOutput<typeof recoveryRequestSchema>['recover'];

export type RecoveryAnswer =
  { refused: string[] } | { wouldDo: string[]; toConfirm: { recover: RecoveryRequest } } | { begun: string[] };
