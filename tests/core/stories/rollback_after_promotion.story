Complaints come in an hour after the promotion, in the middle of a Prometheus outage.

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
16:31:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:37:00      StepStarted: 1 of 1 gates pass: goes on to full (bake)
16:37:00      route: v2 100%
16:37:00      phase: Full
16:41:00      GatePassed: gate errors in stage full: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
17:37:00      Promoted: version v2 now serves
17:37:00      phase: Promoted
19:20:00  Prometheus is down
19:25:00  sam asks for rollback: chargebacks have doubled
19:25:00      CommandHandled: control.rollback by sam (chargebacks have doubled): rolling back
19:25:00      RollingBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1): Manual: sam asked for it: chargebacks have doubled Owner: risk-ml. Runbook: https://runbooks/fraud
19:25:00      route: v1 100%
19:25:00      phase: RollingBack
19:25:00      RolledBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1) has no traffic any more, v1 serves; Manual: sam asked for it: chargebacks have doubled Owner: risk-ml. Runbook: https://runbooks/fraud
19:25:00      phase: RolledBack
19:26:00  sam asks for rollback: is it back?
19:26:00      CommandHandled: control.rollback by sam (is it back?): nothing to do: the baseline has all the traffic
19:30:00      CandidateIdle: version v2 has been idle since 2026-11-17 19:30:00 UTC: its pods may go
20:00:00  the story ends
