The next candidate is tried on top of the one that was promoted before it.

12:00:00  v2 becomes the candidate
12:00:00      AttemptStarted: attempt 1: v2 on top of v1, stage shadow
12:00:00      route: v1 100%, 100% copied to v2
12:00:00      phase: Shadow
12:04:00      GatePassed: gate errors in stage shadow: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
12:30:00      StepStarted: 1 of 1 gates pass: goes on to canary at 5%
12:30:00      route: v1 95%, v2 5%
12:30:00      phase: Canary
12:34:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
12:40:00      StepStarted: 1 of 1 gates pass: goes on to canary at 50%
12:40:00      route: v1 50%, v2 50%
12:44:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
12:50:00      StepStarted: 1 of 1 gates pass: goes on to full (bake)
12:50:00      route: v2 100%
12:50:00      phase: Full
12:54:00      GatePassed: gate errors in stage full: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
13:50:00      Promoted: version v2 now serves
13:50:00      phase: Promoted
15:00:00  v3 becomes the candidate
15:00:00      AttemptStarted: attempt 2: v3 on top of v2, stage shadow
15:00:00      route: v2 100%, 100% copied to v3
15:00:00      phase: Shadow
15:04:00      GatePassed: gate errors in stage shadow: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
15:30:00      StepStarted: 1 of 1 gates pass: goes on to canary at 5%
15:30:00      route: v2 95%, v3 5%
15:30:00      phase: Canary
15:34:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
15:40:00      StepStarted: 1 of 1 gates pass: goes on to canary at 50%
15:40:00      route: v2 50%, v3 50%
15:44:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
15:50:00      StepStarted: 1 of 1 gates pass: goes on to full (bake)
15:50:00      route: v3 100%
15:50:00      phase: Full
15:54:00      GatePassed: gate errors in stage full: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:50:00      Promoted: version v3 now serves
16:50:00      phase: Promoted
18:00:00  the story ends
