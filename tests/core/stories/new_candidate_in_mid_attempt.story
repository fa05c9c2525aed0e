A pipeline pushes v3 while v2 is at 50%: first back to v1, then a new attempt from the start.

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
16:29:00  v3 becomes the candidate
16:29:00      RollingBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1): Superseded: spec now asks for v3 Owner: risk-ml. Runbook: https://runbooks/fraud
16:29:00      route: v1 100%
16:29:00      phase: RollingBack
16:29:00      Superseded: version v2 gave way to a newer candidate
16:29:00      phase: Pending
16:29:00      AttemptStarted: attempt 2: v3 on top of v1, stage shadow
16:29:00      route: v1 100%, 100% copied to v3
16:29:00      phase: Shadow
16:33:00      GatePassed: gate errors in stage shadow: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:59:00      StepStarted: 1 of 1 gates pass: goes on to canary at 5%
16:59:00      route: v1 95%, v3 5%
16:59:00      phase: Canary
17:03:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
17:09:00      StepStarted: 1 of 1 gates pass: goes on to canary at 50%
17:09:00      route: v1 50%, v3 50%
17:10:00  the story ends
