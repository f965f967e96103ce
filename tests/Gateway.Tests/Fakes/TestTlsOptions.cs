using OrleansCache.Gateway.Tls;

namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>The gateway's view of a test's certificates.</summary>
internal static class TestTlsOptions
{
    extension(TestCertificates certificates)
    {
        public TlsOptions Options => new() { ChainFile = certificates.ChainFile, KeyFile = certificates.KeyFile, SessionCache = true };

        public TlsCertificates Load(Func<TlsOptions, TlsOptions>? configure = null) =>
            TlsCertificates.Load(configure?.Invoke(certificates.Options) ?? certificates.Options, TimeProvider.System);
    }
}
