namespace OrleansCache.Monitoring.Http;

/// <summary>The bounds of the HTTP port; docs/http.md tells them.</summary>
internal static class HttpLimits
{
    /// <summary>Further ones are closed at once.</summary>
    public const int ConnectionsMax = 128;

    public const int RequestLineBytesMax = 2048;
    public const int HeaderBytesMax = 8192;
    public const int HeadersMax = 48;

    public const int HeaderSecondsMax = 5;
    public const int IdleSecondsMax = 30;

    /// <summary>A client that reads slower than this after the grace time is cut.</summary>
    public const int ResponseBytesPerSecondMin = 240;
    public const int ResponseGraceSeconds = 5;

    /// <summary>Of all clients together. Health has its own, above which it is answered late but never refused: a probe that fails ends processes.</summary>
    public const int RequestsPerSecond = 100;
    public const int RequestsBurst = 200;

    /// <summary>A refused request waits this long for its answer, so that whoever asks in a tight loop is slowed down.</summary>
    public const int RefusalMilliseconds = 100;

    /// <summary>
    /// So many requests are let in at a time, and one with a wrong token or login keeps its place this long: 16 guesses a second from all clients
    /// together.
    /// </summary>
    public const int LoginsAtOnceMax = 8;
    public const int WrongLoginMilliseconds = 500;
}
