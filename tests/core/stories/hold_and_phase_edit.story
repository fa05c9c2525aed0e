Somebody holds a canary over lunch, and then goes back by writing the phase.

15:47:00  v2 becomes the candidate
15:47:00      AttemptStarted: attempt 1: v2 on top of v1, stage shadow
15:47:00      route: v1 100%, 100% copied to v2
15:47:00      phase: Shadow
15:51:00      GatePassed: gate errors in stage shadow: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:17:00      StepStarted: 1 of 1 gates pass: goes on to canary at 5%
16:17:00      route: v1 95%, v2 5%
16:17:00      phase: Canary
16:20:00  sam asks for hold: lunch
16:20:00      CommandHandled: control.hold by sam (lunch): held until resume
16:20:00      Held: HeldByPerson: held by sam since 2026-11-17 16:20 UTC: lunch. control.resume goes on Owner: risk-ml. Runbook: https://runbooks/fraud
16:20:00      phase: Held
16:21:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
17:00:00  sam asks for resume: back
17:00:00      CommandHandled: control.resume by sam (back): resumed
17:00:00      HoldOver: no longer held for HeldByPerson
17:00:00      phase: Canary
17:01:00      StepStarted: 1 of 1 gates pass: goes on to canary at 50%
17:01:00      route: v1 50%, v2 50%
17:05:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
17:05:00  sam asks for hold: this looks odd
17:05:00      CommandHandled: control.hold by sam (this looks odd): held until resume
17:05:00      Held: HeldByPerson: held by sam since 2026-11-17 17:05 UTC: this looks odd. control.resume goes on Owner: risk-ml. Runbook: https://runbooks/fraud
17:05:00      phase: Held
17:06:00  sam writes phase: RollingBack
17:06:00      CommandHandled: control.rollback by somebody (unverified, by way of kubectl-edit) (phase: RollingBack was written): rolling back
17:06:00      RollingBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1): Manual: somebody (unverified, by way of kubectl-edit) asked for it: phase: RollingBack was written Owner: risk-ml. Runbook: https://runbooks/fraud
17:06:00      route: v1 100%
17:06:00      RolledBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1) has no traffic any more, v1 serves; Manual: somebody (unverified, by way of kubectl-edit) asked for it: phase: RollingBack was written Owner: risk-ml. Runbook: https://runbooks/fraud
17:06:00      phase: RolledBack
17:11:00      CandidateIdle: version v2 has been idle since 2026-11-17 17:11:00 UTC: its pods may go
17:30:00  the story ends
