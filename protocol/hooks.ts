/** Names of the lifecycle hooks of every group. The constructs create the hooks, the functions complete them. */
export const LAUNCH_HOOK = 'launch';
export const TERMINATE_HOOK = 'terminate';
