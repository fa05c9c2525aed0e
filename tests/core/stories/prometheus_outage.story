Prometheus is down while the candidate has 5%: nothing is promoted, nothing rolled back, until it is back.

15:47:00  v2 becomes the candidate
15:47:00      AttemptStarted: attempt 1: v2 on top of v1, stage shadow
15:47:00      route: v1 100%, 100% copied to v2
15:47:00      phase: Shadow
15:51:00      GatePassed: gate errors in stage shadow: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:17:00      StepStarted: 1 of 1 gates pass: goes on to canary at 5%
16:17:00      route: v1 95%, v2 5%
16:17:00      phase: Canary
16:20:00  Prometheus is down
16:21:00      GateUnknown: gate errors in stage canary: Prometheus does not answer (Unreachable) Owner: risk-ml. Runbook: https://runbooks/fraud
16:21:00      Held: Unreachable: gate errors does not know: Prometheus does not answer Owner: risk-ml. Runbook: https://runbooks/fraud
16:21:00      phase: Held
16:50:00  Prometheus is back
16:51:00      GatePassed: gate errors in stage canary: 0 of 94500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:51:00      HoldOver: no longer held for Unreachable
16:51:00      phase: Canary
16:57:00      StepStarted: 1 of 1 gates pass: goes on to canary at 50%
16:57:00      route: v1 50%, v2 50%
17:01:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
17:07:00      StepStarted: 1 of 1 gates pass: goes on to full (bake)
17:07:00      route: v2 100%
17:07:00      phase: Full
17:11:00      GatePassed: gate errors in stage full: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
17:20:00  the story ends
