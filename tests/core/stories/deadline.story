As many errors as are allowed are no evidence either way: the time runs out, and somebody gives it another hour.

15:47:00  v2 becomes the candidate
15:47:00      AttemptStarted: attempt 1: v2 on top of v1, stage shadow
15:47:00      route: v1 100%, 100% copied to v2
15:47:00      phase: Shadow
15:47:00  v2 fails 1% of its requests
17:17:00      Held: DeadlineExceeded: stage shadow (100% copied) has not passed in 1h after its minimum: gate errors: 2625 of 262500 requests failed (1%), allowed is 1%; odds for it 0.0087:1 of 20:1, about 19611 more good requests are needed, and with as many bad ones as so far it will not pass. control.resume gives it as much time again, control.rollback goes back Runbook: https://runbooks/fraud
17:17:00      phase: Held
17:40:00  sam asks for resume: give it more time
17:40:00      CommandHandled: control.resume by sam (give it more time): resumed
17:40:00      HoldOver: no longer held for DeadlineExceeded
17:40:00      phase: Shadow
18:30:00  v2 works again
18:31:00      StepStarted: 1 of 1 gates pass: goes on to canary at 5%
18:31:00      route: v1 95%, v2 5%
18:31:00      phase: Canary
18:35:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
18:41:00      StepStarted: 1 of 1 gates pass: goes on to canary at 50%
18:41:00      route: v1 50%, v2 50%
18:45:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
18:51:00      StepStarted: 1 of 1 gates pass: goes on to full (bake)
18:51:00      route: v2 100%
18:51:00      phase: Full
18:55:00      GatePassed: gate errors in stage full: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
19:30:00  the story ends
