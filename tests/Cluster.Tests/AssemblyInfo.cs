// Each test class starts silos of its own. A test of silos mostly waits for them: two at a time keep two cores busy.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]
