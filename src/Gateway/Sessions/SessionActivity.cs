namespace OrleansCache.Gateway.Sessions;

/// <summary>Something that occupies a connection beyond the command that began it: a flush that waits for its turn, a dump, a watch. One at a time.</summary>
internal abstract class SessionActivity
{
    /// <summary>It takes the connection's input, and throws it away.</summary>
    public virtual bool TakesInput => false;

    /// <summary>There is something that <see cref="Continue"/> could do now.</summary>
    public abstract bool CanContinue { get; }

    public abstract void Continue();

    /// <summary>The session takes no further command.</summary>
    public abstract void OnClosing();
}
