namespace OrleansCache.Gateway;

/// <summary>The gateway could not start; the message is for the person who started it (port in use, bad address, bad socket path).</summary>
public sealed class GatewayStartException : Exception
{
    /// <summary>It was about UDP.</summary>
    public bool IsUdp { get; init; }

    public GatewayStartException()
    {
    }

    public GatewayStartException(string message)
        : base(message)
    {
    }

    public GatewayStartException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
