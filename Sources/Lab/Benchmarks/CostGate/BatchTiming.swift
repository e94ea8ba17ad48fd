/// What timing decides of a pipeline's cost, and the cost without it.
///
/// Callers that share a pipeline share its reads. How many answers one read returns depends on how the machine divides its
/// processors between client and server: on an idle one half of the callers', on a busy one all of them. Then the pipeline
/// runs empty, gives its session back, and checks it out again for the next query.
package struct BatchTiming: Sendable {
    /// The number of callers. No batch is larger.
    package var callers: Double
    /// What a further batch costs: one wait, one read, and the loop's wake-up.
    package var batch: RequestCost
    /// What a further check-out costs. Its read asks whether the session is alive.
    package var checkOut: RequestCost

    package init(callers: Double, batch: RequestCost, checkOut: RequestCost) {
        self.callers = callers
        self.batch = batch
        self.checkOut = checkOut
    }

    /// Returns `cost` as it would be with batches of half the callers and without check-outs.
    ///
    /// A batch is a wait with its read, a check-out is a read without a wait. There is at most one batch for each request,
    /// and one check-out for each batch of all callers. What exceeds that is no matter of timing, and stays in the cost.
    package func normalized(_ cost: RequestCost) -> RequestCost {
        let batches = min(max(min(cost.waits, cost.reads), 1 / callers), 1)
        let checkOuts = min(max(cost.reads - cost.waits, 0), 1 / callers)
        var result = cost
        result.add(2 / callers - batches, of: batch)
        result.add(-checkOuts, of: checkOut)
        return result
    }
}
