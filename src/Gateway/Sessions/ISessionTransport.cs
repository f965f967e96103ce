namespace OrleansCache.Gateway.Sessions;

/// <summary>What a session asks of the connection that carries it. Called on the loop's thread only.</summary>
internal interface ISessionTransport
{
    /// <summary>
    /// Something happened outside of a Receive: output is there, or the session could go on. Before the turn ends the transport sends,
    /// calls <see cref="Session.Resume"/> and looks at <see cref="Session.IsFinished"/>. Must not do any of it inside this call.
    /// </summary>
    void Wake();

    ConnectionInfo Info { get; }
}
