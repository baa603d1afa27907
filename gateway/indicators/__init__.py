"""Performance indicators (绩效监测指标): each figure recomputed from the stored resources, with the rows behind it."""
