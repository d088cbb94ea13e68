/** https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html : "No permissions are required". */
import type { Permissions } from '../iam/permission';

export const stsPermissions: Permissions = (action) => (action === 'GetCallerIdentity' ? [] : undefined);
