Somebody gives the candidate 90% by hand. The operator says who, and waits for a person to decide.

15:47:00  v2 becomes the candidate
15:47:00      AttemptStarted: attempt 1: v2 on top of v1, stage shadow
15:47:00      route: v1 100%, 100% copied to v2
15:47:00      phase: Shadow
15:51:00      GatePassed: gate errors in stage shadow: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:17:00      StepStarted: 1 of 1 gates pass: goes on to canary at 5%
16:17:00      route: v1 95%, v2 5%
16:17:00      phase: Canary
16:20:00  kubectl-edit gives v2 90%
16:20:00      route: v1 10%, v2 90%
16:20:00      Held: RouteChanged: kubectl-edit set 90% for the candidate on TraefikService fraud, the plan says 5%. Remove that writer, then control.resume to go on or control.rollback to go back Owner: risk-ml. Runbook: https://runbooks/fraud
16:20:00      phase: Held
16:21:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:30:00  sam asks for resume: that was me, sorry
16:30:00      CommandHandled: control.resume by sam (that was me, sorry): resumed
16:30:00      StepStarted: the route was changed: canary at 5% starts again, with clock and evidence
16:30:00      HoldOver: no longer held for RouteChanged
16:30:00      route: v1 95%, v2 5%
16:30:00      phase: Canary
16:34:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:40:00      StepStarted: 1 of 1 gates pass: goes on to canary at 50%
16:40:00      route: v1 50%, v2 50%
16:44:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:45:00  the story ends
