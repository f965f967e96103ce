namespace OrleansCache.Membership;

/// <summary>The register could not be read or changed in time. The message is one line that names who was missing and why.</summary>
public sealed class RegisterUnavailableException : Exception
{
    public RegisterUnavailableException(string message)
        : base(message)
    {
    }

    public RegisterUnavailableException(string message, IReadOnlyList<string> missing, bool outcomeUnknown)
        : base(message)
    {
        Missing = missing;
        OutcomeUnknown = outcomeUnknown;
    }

    public RegisterUnavailableException()
    {
    }

    public RegisterUnavailableException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Seeds that did not answer, or not with yes, each with the reason: "host:port: the reason".</summary>
    public IReadOnlyList<string> Missing { get; } = [];

    /// <summary>A change may have taken effect, or may yet. False: it has not, and never will.</summary>
    public bool OutcomeUnknown { get; }

    /// <summary>All the seeds that answered know of no cluster: none has been founded, or they are new and wait to be taken in.</summary>
    public bool NoCluster { get; init; }
}
