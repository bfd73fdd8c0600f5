import { type HoldfastErrorClass, TaskLaunchFailed, TaskRejected } from '#errors';

/**
 * What RunTask answers in `failures[]` (with HTTP 200), or as the text of a ClientException, when it did
 * not place a task. Source: "Amazon ECS API failure reasons" in the ECS developer guide.
 *
 * | reason | meaning | error |
 * |---|---|---|
 * | RESOURCE:CPU, RESOURCE:MEMORY, RESOURCE:ENI, … | nothing free now | TaskLaunchFailed |
 * | Capacity is unavailable at this time … | no Fargate capacity now | TaskLaunchFailed |
 * | You've reached the limit on the number of … | quota of tasks or vCPUs in use | TaskLaunchFailed |
 * | AGENT, LOCATION | an instance that is not ready | TaskLaunchFailed |
 * | MISSING, INACTIVE | no such cluster, capacity provider or definition | TaskRejected |
 * | ATTRIBUTE, anything else | the task fits nowhere | TaskRejected |
 */
export function classifyLaunchFailure(reason: string): HoldfastErrorClass {
  return TRANSIENT.test(reason) ? TaskLaunchFailed : TaskRejected;
}

const TRANSIENT =
  /^(RESOURCE:|RESOURCE$|AGENT|LOCATION)|capacity is unavailable|reached the limit on the number|try again later/i;
