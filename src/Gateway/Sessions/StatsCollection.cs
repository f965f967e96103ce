namespace OrleansCache.Gateway.Sessions;

/// <summary>Statistics that take long, and lists of the cluster: collected elsewhere, answered by the session when they are there.</summary>
internal static class StatsCollection
{
    /// <summary>Goes on with <paramref name="finish"/>, on the loop, with the text or an error line of the text protocol.</summary>
    public static void Start(Session session, Task<byte[]> text, Action<Session, byte[]> finish) => session.WaitElsewhere(ReadAsync(text), finish);

    private static async Task<byte[]> ReadAsync(Task<byte[]> text)
    {
        try
        {
            return await text.ConfigureAwait(false);
        }
        catch (Exception)
        {
            return "SERVER_ERROR statistics could not be collected\r\n"u8.ToArray();
        }
    }
}
