/** How the SDK's client of load balancers answers in process. */
import {
  CreateListenerCommand,
  DescribeTargetHealthCommand,
  DuplicateListenerException,
} from '@aws-sdk/client-elastic-load-balancing-v2';
import { AwsError } from '../../../../rehearsal/aws/core/types';
import { inProcessClients } from '../../../../rehearsal/simulation/cluster/clients';
import { VirtualClock } from '../../../../rehearsal/simulation/virtual-clock';

test('errors that the client has a class for have it, under the name of the class', async () => {
  const clock = new VirtualClock();
  const refuse = (code: string) =>
    inProcessClients(clock, () => Promise.reject(new AwsError(code, 'No.'))).elasticLoadBalancing;
  const listen = new CreateListenerCommand({ LoadBalancerArn: 'a', DefaultActions: [] });
  await expect(refuse('DuplicateListener').send(listen)).rejects.toBeInstanceOf(DuplicateListenerException);
  await expect(refuse('DuplicateListener').send(listen)).rejects.toMatchObject({
    name: 'DuplicateListenerException',
    message: 'No.',
  });
  await expect(
    refuse('ValidationError').send(new DescribeTargetHealthCommand({ TargetGroupArn: 'a' })),
  ).rejects.toMatchObject({ name: 'ValidationError' });
});
