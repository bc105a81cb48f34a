"""One file per way of measuring; each has `measure(job, opener) -> Sample`."""
