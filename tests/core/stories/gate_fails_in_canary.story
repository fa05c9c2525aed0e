A candidate breaks under half of the live requests; after a repair somebody asks for another try.

15:47:00  v2 becomes the candidate
15:47:00      AttemptStarted: attempt 1: v2 on top of v1, stage shadow
15:47:00      route: v1 100%, 100% copied to v2
15:47:00      phase: Shadow
15:51:00      GatePassed: gate errors in stage shadow: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:17:00      StepStarted: 1 of 1 gates pass: goes on to canary at 5%
16:17:00      route: v1 95%, v2 5%
16:17:00      phase: Canary
16:21:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:27:00      StepStarted: 1 of 1 gates pass: goes on to canary at 50%
16:27:00      route: v1 50%, v2 50%
16:29:00  v2 fails 60% of its requests
16:31:00      GateFailed: gate errors in stage canary: 2700 of the candidate's 4500 requests failed: half or more, no test is needed Owner: risk-ml. Runbook: https://runbooks/fraud
16:31:00      RollingBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1): Catastrophe: gate errors: 2700 of the candidate's 4500 requests failed: half or more, no test is needed Owner: risk-ml. Runbook: https://runbooks/fraud
16:31:00      route: v1 100%
16:31:00      phase: RollingBack
16:31:00      RolledBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1) has no traffic any more, v1 serves; Catastrophe: gate errors: 2700 of the candidate's 4500 requests failed: half or more, no test is needed Owner: risk-ml. Runbook: https://runbooks/fraud
16:31:00      phase: RolledBack
16:36:00      CandidateIdle: version v2 has been idle since 2026-11-17 16:36:00 UTC: its pods may go
17:30:00  v2 works again
17:31:00  sam asks for retry: the cache was misconfigured
17:31:00      CommandHandled: control.retry by sam (the cache was misconfigured): trying again
17:31:00      AttemptStarted: attempt 2: v2 on top of v1, stage shadow
17:31:00      route: v1 100%, 100% copied to v2
17:31:00      phase: Shadow
17:35:00      GatePassed: gate errors in stage shadow: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
18:01:00      StepStarted: 1 of 1 gates pass: goes on to canary at 5%
18:01:00      route: v1 95%, v2 5%
18:01:00      phase: Canary
18:05:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
18:05:00  the story ends
