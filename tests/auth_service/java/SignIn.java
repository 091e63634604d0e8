import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jwt.JWTParser;
import com.nimbusds.oauth2.sdk.AuthorizationCode;
import com.nimbusds.oauth2.sdk.AuthorizationCodeGrant;
import com.nimbusds.oauth2.sdk.AuthorizationGrant;
import com.nimbusds.oauth2.sdk.ClientCredentialsGrant;
import com.nimbusds.oauth2.sdk.RefreshTokenGrant;
import com.nimbusds.oauth2.sdk.ResponseType;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenIntrospectionRequest;
import com.nimbusds.oauth2.sdk.TokenIntrospectionResponse;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.TokenResponse;
import com.nimbusds.oauth2.sdk.TokenRevocationRequest;
import com.nimbusds.oauth2.sdk.auth.ClientAuthentication;
import com.nimbusds.oauth2.sdk.auth.ClientSecretBasic;
import com.nimbusds.oauth2.sdk.auth.PrivateKeyJWT;
import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.http.HTTPRequest;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.id.State;
import com.nimbusds.oauth2.sdk.pkce.CodeChallengeMethod;
import com.nimbusds.oauth2.sdk.pkce.CodeVerifier;
import com.nimbusds.oauth2.sdk.token.AccessToken;
import com.nimbusds.oauth2.sdk.token.Token;
import com.nimbusds.openid.connect.sdk.AuthenticationRequest;
import com.nimbusds.openid.connect.sdk.AuthenticationResponse;
import com.nimbusds.openid.connect.sdk.AuthenticationResponseParser;
import com.nimbusds.openid.connect.sdk.LogoutRequest;
import com.nimbusds.openid.connect.sdk.Nonce;
import com.nimbusds.openid.connect.sdk.OIDCTokenResponseParser;
import com.nimbusds.openid.connect.sdk.UserInfoRequest;
import com.nimbusds.openid.connect.sdk.UserInfoResponse;
import com.nimbusds.openid.connect.sdk.claims.IDTokenClaimsSet;
import com.nimbusds.openid.connect.sdk.op.OIDCProviderMetadata;
import com.nimbusds.openid.connect.sdk.token.OIDCTokens;
import com.nimbusds.openid.connect.sdk.validators.IDTokenValidator;
import com.nimbusds.openid.connect.sdk.validators.LogoutTokenValidator;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.CookieManager;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;

/** Nimbus' OpenID Connect SDK: each line it prints is a name and what the provider answered. */
public class SignIn {
    static OIDCProviderMetadata provider;
    static Issuer issuer;
    static URI back;
    static HttpClient browser;

    interface Proof {
        ClientAuthentication make() throws Exception;
    }

    public static void main(String[] words) throws Exception {
        issuer = new Issuer(words[0]);
        back = new URI(words[1]);
        provider = OIDCProviderMetadata.resolve(issuer);
        say("issuer", provider.getIssuer().equals(issuer));
        browser = HttpClient.newBuilder().cookieHandler(new CookieManager()).build();
        say("signed in", enter(words[2], words[3]));

        ECKey key = ECKey.parse(words[5]);
        ClientID first = new ClientID("tracker");
        ClientID second = new ClientID("robot");
        Proof secret = () -> new ClientSecretBasic(first, new Secret(words[4]));
        Proof signed = () -> new PrivateKeyJWT(
            second, new URI(words[0]), JWSAlgorithm.ES256, key.toECPrivateKey(), key.getKeyID(), null);
        OIDCTokens one = person(first, secret, JWSAlgorithm.RS256);
        OIDCTokens two = person(second, signed, JWSAlgorithm.ES256);
        program(secret);
        program(signed);

        State state = new State();
        URI leave = new LogoutRequest(provider.getEndSessionEndpointURI(), two.getIDToken(), back, state).toURI();
        say("farewell", location(leave).equals(new URI(back + "?state=" + state)));
        say("over", ask(secret, new RefreshTokenGrant(one.getRefreshToken())).toErrorResponse().getErrorObject().getCode());

        BufferedReader told = new BufferedReader(new InputStreamReader(System.in));
        LogoutTokenValidator validator = new LogoutTokenValidator(
            issuer, second, JWSAlgorithm.ES256, provider.getJWKSetURI().toURL());
        say("logout", validator.validate(JWTParser.parse(told.readLine())).getSessionID() != null);
    }

    static OIDCTokens person(ClientID client, Proof proof, JWSAlgorithm algorithm) throws Exception {
        CodeVerifier verifier = new CodeVerifier();
        State state = new State();
        Nonce nonce = new Nonce();
        URI asked = new AuthenticationRequest.Builder(new ResponseType("code"), new Scope("openid", "profile"), client, back)
            .endpointURI(provider.getAuthorizationEndpointURI())
            .codeChallenge(verifier, CodeChallengeMethod.S256)
            .state(state)
            .nonce(nonce)
            .build()
            .toURI();
        AuthenticationResponse answer = AuthenticationResponseParser.parse(location(asked));
        say("answered by", answer.getIssuer().equals(issuer) && answer.getState().equals(state));
        AuthorizationCode code = answer.toSuccessResponse().getAuthorizationCode();
        OIDCTokens tokens = tokens(proof, new AuthorizationCodeGrant(code, back, verifier));

        IDTokenValidator validator = new IDTokenValidator(issuer, client, algorithm, provider.getJWKSetURI().toURL());
        IDTokenClaimsSet claims = validator.validate(tokens.getIDToken(), nonce);
        say("ID token", tokens.getIDToken().getHeader().getAlgorithm());
        for (HTTPRequest.Method method : new HTTPRequest.Method[] {HTTPRequest.Method.GET, HTTPRequest.Method.POST}) {
            UserInfoRequest request = new UserInfoRequest(provider.getUserInfoEndpointURI(), method, tokens.getBearerAccessToken());
            UserInfoResponse told = UserInfoResponse.parse(request.toHTTPRequest().send());
            say("user info", told.toSuccessResponse().getUserInfo().getSubject().equals(claims.getSubject()));
        }

        OIDCTokens renewed = tokens(proof, new RefreshTokenGrant(tokens.getRefreshToken()));
        say("renewed", validator.validate(renewed.getIDToken(), null).getSubject().equals(claims.getSubject()));
        say("rotated", !renewed.getRefreshToken().equals(tokens.getRefreshToken()));
        say("active", active(proof, renewed.getAccessToken()) + " " + active(proof, renewed.getRefreshToken()));
        revoke(proof, renewed.getAccessToken());
        say("withdrawn", active(proof, renewed.getAccessToken()));
        return renewed;
    }

    static void program(Proof proof) throws Exception {
        AccessToken token = ask(proof, new ClientCredentialsGrant()).toSuccessResponse().getTokens().getAccessToken();
        say("own token", token.getLifetime() + " " + active(proof, token));
    }

    static TokenResponse ask(Proof proof, AuthorizationGrant grant) throws Exception {
        TokenRequest request = new TokenRequest.Builder(provider.getTokenEndpointURI(), proof.make(), grant).build();
        return OIDCTokenResponseParser.parse(request.toHTTPRequest().send());
    }

    static OIDCTokens tokens(Proof proof, AuthorizationGrant grant) throws Exception {
        return ask(proof, grant).toSuccessResponse().getTokens().toOIDCTokens();
    }

    static boolean active(Proof proof, Token token) throws Exception {
        URI address = provider.getIntrospectionEndpointURI();
        HTTPRequest request = new TokenIntrospectionRequest(address, proof.make(), token).toHTTPRequest();
        return TokenIntrospectionResponse.parse(request.send()).toSuccessResponse().isActive();
    }

    static void revoke(Proof proof, Token token) throws Exception {
        URI address = provider.getRevocationEndpointURI();
        HTTPRequest request = new TokenRevocationRequest(address, proof.make(), token).toHTTPRequest();
        request.send().ensureStatusCode(200);
    }

    static int enter(String login, String password) throws Exception {
        String form = "login=" + encoded(login) + "&password=" + encoded(password);
        return browser.send(
            java.net.http.HttpRequest.newBuilder(new URI(issuer + "/sign-in"))
                .header("Content-Type", "application/x-www-form-urlencoded")
                .header("Sec-Fetch-Site", "same-origin")
                .POST(java.net.http.HttpRequest.BodyPublishers.ofString(form))
                .build(),
            HttpResponse.BodyHandlers.discarding()).statusCode();
    }

    static URI location(URI address) throws Exception {
        java.net.http.HttpRequest request = java.net.http.HttpRequest.newBuilder(address).build();
        HttpResponse<String> answer = browser.send(request, HttpResponse.BodyHandlers.ofString());
        return new URI(answer.headers().firstValue("location").orElseThrow());
    }

    static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    static void say(String name, Object value) {
        System.out.println(name + " = " + value);
    }
}
