"""Which rows of a comparison differ, where each row is trained several times and tested on a sample of people.

| what | where |
|---|---|
| `compare_rows`: differences, intervals and p over trainings and people | `analysis` |
| `holm`: p corrected for the number of comparisons; `letters`: rows that cannot be told apart | `multiple` |
| `trainings_needed`: how many trainings find a difference | `power` |
"""
