/** Names of the lifecycle hooks of every group: the constructs make them, the functions complete them. */
export const LAUNCH_HOOK = 'launch';
export const TERMINATE_HOOK = 'terminate';
