A candidate that fails 5% of its copies is taken out before a user has met it. It is not tried again by itself.

15:47:00  v2 becomes the candidate
15:47:00      AttemptStarted: attempt 1: v2 on top of v1, stage shadow
15:47:00      route: v1 100%, 100% copied to v2
15:47:00      phase: Shadow
15:51:00      GatePassed: gate errors in stage shadow: 0 of 4500 requests failed (0%), allowed is 1%; odds for it over 1000000:1
15:55:00  v2 fails 5% of its requests
15:57:00      GateFailed: gate errors in stage shadow: 1125 of 22500 requests failed (5%), allowed is 1%; odds against it over 1000000:1 Owner: risk-ml. Runbook: https://runbooks/fraud
15:57:00      RollingBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1): GateFailed: gate errors: 1125 of 22500 requests failed (5%), allowed is 1%; odds against it over 1000000:1 Owner: risk-ml. Runbook: https://runbooks/fraud
15:57:00      route: v1 100%
15:57:00      phase: RollingBack
15:57:00      RolledBack: version v2 (digest 2c47eb2e44362a79, record fraud-u1-g2-1) has no traffic any more, v1 serves; GateFailed: gate errors: 1125 of 22500 requests failed (5%), allowed is 1%; odds against it over 1000000:1 Owner: risk-ml. Runbook: https://runbooks/fraud
15:57:00      phase: RolledBack
16:02:00      CandidateIdle: version v2 has been idle since 2026-11-17 16:02:00 UTC: its pods may go
17:00:00  the story ends
