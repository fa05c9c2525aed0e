"""How often the gates' tests are wrong and how soon they are right, by simulation, beside rules that others use."""
