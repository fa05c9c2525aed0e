The candidate's pods disappear twice: for twenty seconds, which is forgiven, and for good.

15:47:00  v2 becomes the candidate
15:47:00      AttemptStarted: attempt 1: v2 on top of v1, stage shadow
15:47:00      route: v1 100%, 100% copied to v2
15:47:00      phase: Shadow
15:51:00      GatePassed: gate errors in stage shadow: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:17:00      StepStarted: 1 of 1 gates pass: goes on to canary at 5%
16:17:00      route: v1 95%, v2 5%
16:17:00      phase: Canary
16:20:00  the pods of v2 are gone
16:20:00      Held: CandidateNotReady: Service fraud-v2 of the candidate has no ready endpoint: rolled back at 16:20:30 UTC if it stays so Owner: risk-ml. Runbook: https://runbooks/fraud
16:20:00      phase: Held
16:20:20  the pods of v2 are back
16:20:20      HoldOver: no longer held for CandidateNotReady
16:20:20      phase: Canary
16:21:00      GatePassed: gate errors in stage canary: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
16:25:00  the pods of v2 are gone
16:25:00      Held: CandidateNotReady: Service fraud-v2 of the candidate has no ready endpoint: rolled back at 16:25:30 UTC if it stays so Owner: risk-ml. Runbook: https://runbooks/fraud
16:25:00      phase: Held
16:25:30      RollingBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1): CandidateUnready: Service fraud-v2 of the candidate has no ready endpoint for longer than 30s Owner: risk-ml. Runbook: https://runbooks/fraud
16:25:30      route: v1 100%
16:25:30      phase: RollingBack
16:25:30      RolledBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1) has no traffic any more, v1 serves; CandidateUnready: Service fraud-v2 of the candidate has no ready endpoint for longer than 30s Owner: risk-ml. Runbook: https://runbooks/fraud
16:25:30      phase: RolledBack
16:30:30      CandidateIdle: version v2 has been idle since 2026-11-17 16:30:30 UTC: its pods may go
16:40:00  the story ends
