// Each test class starts silos of its own; one cluster at a time is enough for a small machine.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
