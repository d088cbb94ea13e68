/** Resource types of CloudFormation itself, and of the CDK. */
import type { ResourceTypes } from '../core/resource';
import { CUSTOM_TYPE, type CustomResources } from './custom-resources';

export function cloudFormationTypes({ customResources }: { customResources: CustomResources }): ResourceTypes {
  return {
    [CUSTOM_TYPE]: customResources.type,
    // `cdk synth` adds it for the CDK team's usage statistics; it creates nothing.
    'AWS::CDK::Metadata': { properties: ['Analytics'], create: ({ logicalId }) => ({ id: logicalId }) },
  };
}
